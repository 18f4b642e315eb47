export default function makeTemplates(): Promise<void>;
export function dropTemplate(): Promise<void>;
