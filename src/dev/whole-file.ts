import { randomUUID } from 'node:crypto';
import { linkSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** Replaces a file, for its owner alone. Whoever reads it sees the whole of the old or of the new one. */
export function replaceFile(path: string, text: string): void {
  withDraft(path, text, (draft) => renameSync(draft, path));
}

/** Makes a file, for its owner alone, that nobody sees before it is whole. Throws `EEXIST` when there is one already. */
export function createFile(path: string, text: string): void {
  withDraft(path, text, (draft) => linkSync(draft, path));
}

/** The name of a draft is never used again: in two containers processes have the same number. */
function withDraft(path: string, text: string, publish: (draft: string) => void): void {
  const draft = `${path}.${randomUUID()}.tmp`;
  try {
    writeFileSync(draft, text, { flag: 'wx', mode: 0o600 });
    publish(draft);
  } finally {
    rmSync(draft, { force: true });
  }
}
