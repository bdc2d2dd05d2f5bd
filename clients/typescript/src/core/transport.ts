/** How bytes reach a server: a WebSocket, a port to a tab that has one, or a script in a test. */
export interface Transport {
  /** Begins to connect. It calls `handlers` later, never before it has returned; `closed` once, at the end, whatever happens. */
  open(handlers: TransportHandlers): Link
}

/** What a transport tells of its link. */
export interface TransportHandlers {
  opened(): void
  /** A binary message: one or more frames. */
  message(bytes: Uint8Array): void
  /** `code`: the close code, 1006 where there was none. `failed`: it was never open. */
  closed(code: number, reason: string, failed: boolean): void
}

/** One connection, open or being opened. */
export interface Link {
  send(bytes: Uint8Array): void
  /** Closes it; `closed` follows. 1000 or 3000 to 4999. */
  close(code?: number): void
}
