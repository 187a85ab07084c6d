import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vitest/config';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'client',
          include: ['test/*.test.ts'],
          environment: 'jsdom',
          restoreMocks: true,
          unstubGlobals: true,
        },
      },
      {
        test: {
          name: 'react 19',
          include: ['test/react/*.test.tsx'],
          environment: 'jsdom',
          restoreMocks: true,
          unstubGlobals: true,
        },
      },
      {
        resolve: {
          alias: {
            react: path('test/react-18/node_modules/react'),
            'react-dom': path('test/react-18/node_modules/react-dom'),
            // As a module, in which Vite finds the imports of React.
            '@testing-library/react': path(
              'node_modules/@testing-library/react/dist/@testing-library/react.esm.js',
            ),
          },
        },
        test: {
          name: 'react 18',
          include: ['test/react/*.test.tsx'],
          environment: 'jsdom',
          restoreMocks: true,
          unstubGlobals: true,
          server: { deps: { inline: [/@testing-library\/react/] } },
        },
      },
    ],
  },
});
