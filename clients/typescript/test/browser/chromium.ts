import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where Chromium is: `CREWLINE_CHROMIUM`, or what stands on `PATH`; absent: there is none. */
export function chromiumPath(): string | undefined {
  if (process.env.CREWLINE_CHROMIUM) return process.env.CREWLINE_CHROMIUM
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      try {
        accessSync(join(folder, name), constants.X_OK)
        return join(folder, name)
      } catch {
        // The next one.
      }
    }
  }
  return undefined
}
