const EVENTS = ['online', 'pageshow', 'focus']

/** Calls `woke` whenever the page may have slept, or its network been away. What it returns ends that. */
export function onWake(woke: () => void): () => void {
  const { document } = globalThis
  const visible = (): void => {
    if (document.visibilityState !== 'hidden') woke()
  }
  for (const type of EVENTS) globalThis.addEventListener?.(type, woke)
  document?.addEventListener('visibilitychange', visible)
  return () => {
    for (const type of EVENTS) globalThis.removeEventListener?.(type, woke)
    document?.removeEventListener('visibilitychange', visible)
  }
}
