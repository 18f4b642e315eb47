/** Entries at the most: what is remembered here is chosen by whoever sends tokens. */
const MAX_REMEMBERED = 10_000;

/** Puts a value into a memory, in the place of the oldest one when it is full. Returns the value. */
export function remember<Value>(memory: Map<string, Value>, key: string, value: Value): Value {
  if (memory.size >= MAX_REMEMBERED) {
    const [oldest = ''] = memory.keys();
    memory.delete(oldest);
  }
  memory.set(key, value);
  return value;
}
