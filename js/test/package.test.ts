// @vitest-environment node
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

import { build } from 'vite';
import { expect, test } from 'vitest';

const ROOT = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');
const manifest = JSON.parse(read('package.json')) as {
  exports: Record<string, string | { types: string; default: string }>;
};

/** How many bytes `entry` has in an application, minified and compressed, without React. */
async function sizeOf(entry: string): Promise<number> {
  const result = await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: true,
      rollupOptions: {
        input: path.join(ROOT, entry),
        external: [/^react/],
        preserveEntrySignatures: 'strict',
      },
    },
  });
  if (!('output' in result)) throw new Error('not one bundle');
  const [bundle] = result.output;
  return gzipSync(bundle.code, { level: 9 }).length;
}

test.each([
  ['the client', 'dist/index.js'],
  ['the client with the React components', 'dist/react/index.js'],
])('%s is as small as the README states', async (what, entry) => {
  const stated = new RegExp(`^\\| ${what} \\| ([\\d.]+) kB \\|$`, 'm').exec(read('README.md'));
  const bytes = await sizeOf(entry);
  expect(bytes).toBeLessThanOrEqual(Number(stated?.[1]) * 1000);
  expect(bytes, 'the README states too much').toBeGreaterThan(Number(stated?.[1]) * 1000 - 300);
});

test('the package has its entry points and their types, and nothing but what it needs', () => {
  const output = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const [{ files }] = JSON.parse(output) as [{ files: { path: string }[] }];
  const paths = files.map((file) => file.path);
  const entries = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === 'string' ? [entry] : [entry.types, entry.default],
  );
  expect(paths).toEqual(expect.arrayContaining(entries.map((entry) => path.normalize(entry))));
  const other = paths.filter((file) => !/^dist\/[\w/.]+\.(js|d\.ts)$/.test(file));
  expect(other.filter((file) => !file.startsWith('LICENSE')).sort()).toEqual([
    'README.md',
    'package.json',
    'style.css',
  ]);
});

test('the client does not need React, and the components say that they are for clients', () => {
  expect(read('dist/index.js')).not.toContain('react');
  expect(read('dist/client.js')).not.toContain('react');
  expect(read('dist/react/index.js').split('\n', 1)).toEqual(["'use client';"]);
});

test('the lock file names no registry', () => {
  const resolved = read('package-lock.json').matchAll(/"resolved": "(.*)"/g);
  expect(Array.from(resolved, ([, where]) => where)).toEqual(['test/react-18']);
});
