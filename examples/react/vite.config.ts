import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// Where `cargo run --example accounts` listens, for `npm run dev`.
const demo = 'http://127.0.0.1:3000';

export default defineConfig({
  // Where the demo serves what is built here.
  base: '/react/',
  plugins: [react()],
  server: {
    host: '127.0.0.1',
    proxy: Object.fromEntries(
      ['/api', '/session', '/sign-in', '/sign-out', '/style.css', '/me'].map((path) => [path, demo]),
    ),
    // The demo's stylesheet is the page's too.
    fs: { allow: ['.', '../accounts/style.css'] },
  },
  test: {
    environment: 'happy-dom',
    restoreMocks: true,
  },
});
