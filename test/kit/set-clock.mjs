// Preloaded (`--import`): the clock of this process is ahead by the seconds that stand in the file of CLOCK_FILE.
import { readFileSync } from 'node:fs';

const { now } = Date;
const aheadMs = () => Number(readFileSync(process.env['CLOCK_FILE'], 'utf8')) * 1_000;
Date.now = () => now() + aheadMs();
