import { playwright } from '@vitest/browser-playwright'
import { defineConfig } from 'vitest/config'
import { chromiumPath } from './test/browser/chromium.js'

const executablePath = chromiumPath()

/**
 * `node` needs no browser; `react-18` is those of its tests that stand on React, with the oldest version that the package takes. `chromium` runs in one what needs no server: the same tests where the platform is a browser's. `browser` drives its
 * pages from outside, through reloads and broken links, against a real server. One browser at a time.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'node',
          include: ['test/**/*.test.{ts,tsx}'],
          exclude: ['test/browser/**'],
          testTimeout: 30_000,
        },
      },
      {
        resolve: { alias: [{ find: /^react(-dom)?(?=\/|$)/, replacement: 'react$1-18' }] },
        test: {
          name: 'react-18',
          include: ['test/react/*.test.tsx', 'test/query/hazards.test.tsx', 'test/testing/component.test.tsx'],
          setupFiles: ['test/support/react-18.ts'],
          // Aliases are for what Vite reads itself.
          server: { deps: { inline: ['@tanstack/react-query'] } },
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'chromium',
          include: ['test/tabs/*.test.ts', 'test/query/{bridge,infinite}.test.ts', 'test/core/fold.test.ts'],
          sequence: { groupOrder: 1 },
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            provider: playwright({ launchOptions: { ...(executablePath && { executablePath }), args: ['--no-sandbox'] } }),
            instances: [{ browser: 'chromium' }],
          },
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          sequence: { groupOrder: 2 },
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
