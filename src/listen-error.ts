import { StartupError } from './errors.js';

/** No interface of this machine has the address. `EINVAL`: a link-local address without its zone. */
const NOT_OURS = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']);

/** Whether another socket listens on the port. */
export function isPortTaken(error: unknown): boolean {
  return systemError(error).code === 'EADDRINUSE';
}

/**
 * The error of a server that cannot listen, for its operator: a `StartupError` that names the setting to change, without
 * a cause because the message is all there is to know. Every other error is returned as it is.
 */
export function explainListenError(
  error: unknown,
  setting: 'PORT' | 'ROLLUP_DEV_PORT',
  port: number,
): unknown {
  const { code = '', syscall } = systemError(error);
  if (isPortTaken(error)) {
    return new StartupError(
      `${setting}: port ${port} is in use. Stop what listens there, or set ${setting} to another port.`,
    );
  }
  if (code === 'EACCES') {
    return new StartupError(`${setting}: port ${port} needs privileges. Set ${setting} to 1024 or more.`);
  }
  if (syscall === 'getaddrinfo' || NOT_OURS.has(code)) {
    return new StartupError(
      'HOST is not an address of this machine. Use 127.0.0.1, or 0.0.0.0 for every address that it has.',
    );
  }
  return error;
}

function systemError(error: unknown): { readonly code?: string; readonly syscall?: string } {
  return typeof error === 'object' && error !== null ? error : {};
}
