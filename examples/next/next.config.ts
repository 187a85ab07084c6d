import type { NextConfig } from 'next';

export default {
  // This folder, not one above it that has a lock file too.
  turbopack: { root: import.meta.dirname },
  outputFileTracingRoot: import.meta.dirname,
  poweredByHeader: false,
} satisfies NextConfig;
