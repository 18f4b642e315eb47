export default function makeTemplate(): Promise<void>;
