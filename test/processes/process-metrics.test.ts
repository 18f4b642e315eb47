import { rmSync } from 'node:fs';
import { useStarted } from '../kit/hooks.js';
import { startProcess } from '../kit/server.js';
import { createDataDirectory } from '../kit/test-database.js';

describe('/metrics of a server in a process of its own', () => {
  const directory = createDataDirectory();
  const server = useStarted(() =>
    startProcess({ PORT: '0', DATA_DIR: directory, ROLLUP_DEV_PORT: '0', SHUTDOWN_DELAY_MS: '0' }),
  );
  afterAll(() => rmSync(directory, { recursive: true }));

  test('has the metrics of the process and its event loop beside those of the application', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(names).toEqual(
      expect.arrayContaining([
        'process_cpu_seconds_total',
        'process_resident_memory_bytes',
        'process_start_time_seconds',
        'nodejs_eventloop_lag_p99_seconds',
        'nodejs_heap_size_used_bytes',
        'nodejs_gc_duration_seconds',
        'nodejs_active_handles_total',
        'rollup_accounts_refreshes_total',
        'rollup_accounts_http_request_duration_seconds',
      ]),
    );
    expect(new Set(names).size).toBe(names.length);
    expect(text).toMatch(/^process_resident_memory_bytes [1-9]\d*$/m);
    expect(server.output()).not.toContain('DeprecationWarning');
  });
});
