/** Loads the editor, which is 9 MB. Undefined in a production install: it is a development dependency. */
export async function loadEditor() {
  try {
    return (await import('@graphql-yoga/render-graphiql')).renderGraphiQL;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** The page in place of the editor. */
export const NOT_INSTALLED = `<!doctype html><title>rollup-accounts</title>
<p>GraphiQL is not part of a production install: a clone with <code>npm ci</code> has it. The API is at <code>/graphql</code>.</p>`;
