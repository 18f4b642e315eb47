import { StartupError } from '../src/errors.js';
import { explainListenError } from '../src/listen-error.js';

/** An error as `listen` gives it. A port without privileges cannot be tried here: tests may run as root. */
function listenError(code: string, syscall = 'listen'): Error {
  return Object.assign(new Error(`${syscall} ${code} 10.0.0.1:80`), { code, syscall });
}

test.each([
  ['EADDRINUSE', 'listen', 'PORT: port 80 is in use.'],
  ['EACCES', 'listen', 'PORT: port 80 needs privileges.'],
  ['EADDRNOTAVAIL', 'listen', 'HOST is not an address of this machine.'],
  ['EAFNOSUPPORT', 'listen', 'HOST is not an address of this machine.'],
  ['ENOTFOUND', 'getaddrinfo', 'HOST is not an address of this machine.'],
  ['EAI_AGAIN', 'getaddrinfo', 'HOST is not an address of this machine.'],
])('%s of %s is a startup error that names the setting: %s', (code, syscall, message) => {
  const error = explainListenError(listenError(code, syscall), 'PORT', 80);
  expect(error).toBeInstanceOf(StartupError);
  expect(error).toMatchObject({ message: expect.stringContaining(message) });
  // A cause would be printed with its stack.
  expect(error).not.toHaveProperty('cause');
});

test('an error that no setting explains stays as it is', () => {
  const error = listenError('EMFILE');
  expect(explainListenError(error, 'PORT', 80)).toBe(error);
});
