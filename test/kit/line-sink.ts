import { Writable } from 'node:stream';

/** A log destination that appends each record to `lines`. */
export function lineSink(lines: string[]): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString());
      done();
    },
  });
}
