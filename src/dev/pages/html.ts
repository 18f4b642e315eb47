import { createHash } from 'node:crypto';
import type { EmulatorResponse } from '../rollup-id/response.js';

/** Escaped HTML. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Content = Html | readonly Html[] | string | number;

/** Builds HTML from a template: text is escaped, `Html` and lists of it are inserted unchanged. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(parts.reduce((text, part, index) => text + render(values[index - 1] ?? '') + part));
}

function render(value: Content): string {
  if (value instanceof Html) return value.text;
  if (typeof value === 'object') return value.map((item) => item.text).join('');
  return String(value).replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/**
 * An HTML page that loads nothing, cannot be framed, is not stored and sends no referrer. Its CSP allows
 * `script` by hash, and no script by default.
 */
export function page(title: string, content: Html, { status = 200, script = '' } = {}): EmulatorResponse {
  const scriptHash = `'sha256-${createHash('sha256').update(script).digest('base64')}'`;
  const document = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>
          ${STYLE}
        </style>
      </head>
      <body>
        <main>
          <p class="brand">Rollup ID <span>embedded, for development</span></p>
          <h1>${title}</h1>
          ${content}
        </main>
        ${script === '' ? '' : new Html(`<script>${script}</script>`)}
      </body>
    </html> `;
  return {
    status,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'content-security-policy': `default-src 'none'; script-src ${script === '' ? "'none'" : scriptHash}; style-src 'unsafe-inline'; img-src data: 'self'; form-action *; base-uri 'none'; frame-ancestors 'none'`,
    },
    body: document.text,
  };
}

const STYLE = new Html(`
:root { color-scheme: light dark; --ink: light-dark(#1c1b29, #ecebf5); --soft: light-dark(#646178, #a5a2b8);
  --paper: light-dark(#fff, #1d1b2a); --ground: light-dark(#f3f2f8, #12111b); --line: light-dark(#dedbe9, #35324a);
  --accent: light-dark(#5b34d6, #a78bfa); --on-accent: light-dark(#fff, #17122b); }
* { box-sizing: border-box; }
body { margin: 0; padding: clamp(.75rem, 3vw, 3rem); background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 38rem; margin: auto; padding: clamp(1rem, 4vw, 2rem); overflow-wrap: anywhere; background: var(--paper); border: 1px solid var(--line); border-radius: 1rem; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25; } h2 { margin: 1.75rem 0 .5rem; font-size: 1rem; }
.brand { margin: 0 0 .5rem; font-weight: 600; color: var(--accent); } .brand span { font-weight: 400; color: var(--soft); }
a { color: var(--accent); display: inline-block; padding: .65rem 0; margin: -.65rem 0; /* a finger needs 44 px */ }
small, .soft { color: var(--soft); } code { font-size: .85em; }
fieldset { min-width: 0; margin: 1.25rem 0 0; padding: 0; border: 0; } legend { padding: 0 0 .5rem; font-weight: 600; }
.rows { overflow: hidden; border: 1px solid var(--line); border-radius: .75rem; }
.row { display: flex; gap: .75rem; align-items: center; padding: .75rem; } .row + .row { border-top: 1px solid var(--line); }
label.row { cursor: pointer; } label.row:has(:checked) { background: color-mix(in srgb, var(--accent) 9%, transparent); }
.row span { flex: 1; min-width: 0; } .row small { display: block; } input { flex: none; width: 1.25rem; height: 1.25rem; margin: 0; accent-color: var(--accent); }
.face { width: 2.5rem; height: 2.5rem; border-radius: 50%; background: var(--line); flex: none; }
.actions { display: flex; gap: .75rem; margin-top: 1.5rem; } @media (max-width: 30rem) { .actions button { flex: 1; } }
button { padding: .6rem 1.4rem; font: inherit; font-weight: 600; border: 1px solid var(--line); border-radius: .6rem; background: none; color: inherit; cursor: pointer; }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
:is(button, a, input, textarea):focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
textarea { width: 100%; min-height: 7rem; field-sizing: content; padding: .75rem; font: .85rem/1.5 ui-monospace, monospace; color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: .6rem; }
table { width: 100%; border-collapse: collapse; } td { padding: .35rem 0; border-top: 1px solid var(--line); } td:last-child { text-align: right; font-variant-numeric: tabular-nums; }
pre { padding: .75rem; white-space: pre-wrap; font-size: .85rem; background: var(--ground); border-radius: .6rem; }
`);
