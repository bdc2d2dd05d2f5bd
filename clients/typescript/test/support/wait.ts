/** Waiting for what happens, rather than for time to pass. */
import { vi } from 'vitest'
import type { Readable } from '../../src/core/index.js'

/** Until it holds of what a store tells. */
export function when<T>(store: Readable<T>, holds: (value: T) => unknown): Promise<T> {
  return new Promise((resolve) => {
    let stop: (() => void) | undefined
    const look = (): void => {
      const value = store.get()
      if (!holds(value)) return
      stop?.()
      stop = () => {}
      resolve(value)
    }
    stop = store.subscribe(look)
    look()
  })
}

/** Until the clock shows this time, in milliseconds since the epoch: what a token says of its end. */
export function reached(at: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, at - Date.now() + 1))
}

/** Until it holds of what tells nothing by itself. */
export async function until(holds: () => unknown): Promise<void> {
  await vi.waitUntil(holds, { timeout: 15_000, interval: 5 })
}
