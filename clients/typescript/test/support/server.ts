/** The real server, started for a test on a free port, on data of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import WebSocket from 'ws'
import { webSocketTransport } from '../../src/core/websocket.js'
import type { Transport } from '../../src/core/transport.js'

export const BINARY = process.env.CREWLINE_BIN ?? join(import.meta.dirname, '../../../../target/debug/crewline')

export interface Server {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  /** Ends it as a crash does. */
  kill(): Promise<void>
  /** Starts it again, on the same port and data. */
  start(): Promise<void>
  /** Ends it in order, and removes its data. */
  stop(): Promise<void>
}

/** Starts a server; `settings` are `key=value`. */
export async function startServer(settings: readonly string[] = [], app?: string): Promise<Server> {
  const data = mkdtempSync(join(tmpdir(), 'crewline-ts-'))
  let child: ChildProcess | undefined
  let listen = '127.0.0.1:0'
  const ended = (): Promise<void> => new Promise((resolve) => (child && child.exitCode === null && child.signalCode === null ? child.once('exit', () => resolve()) : resolve()))

  async function start(): Promise<void> {
    const set = settings.flatMap((setting) => ['--set', setting])
    child = spawn(BINARY, ['serve', '--listen', listen, '--data', data, '--log', 'warn', ...(app ? ['--app', app] : []), ...set], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    let wrong = ''
    child.stderr!.on('data', (chunk) => (wrong += chunk))
    await new Promise<void>((resolve, reject) => {
      child!.stdout!.on('data', (chunk) => {
        said += chunk
        const found = /listening on \w+:\/\/([^\/\s]+)/.exec(said)
        if (!found) return
        listen = found[1]!
        resolve()
      })
      child!.once('error', reject)
      child!.once('exit', (code) => reject(new Error(`${BINARY} ended with ${code}: ${wrong}`)))
    })
  }

  await start()
  return {
    get url() {
      return `http://${listen}`
    },
    async kill() {
      const gone = ended()
      child?.kill('SIGKILL')
      await gone
    },
    start,
    async stop() {
      const gone = ended()
      child?.kill('SIGTERM')
      await gone
      rmSync(data, { recursive: true, force: true })
    },
  }
}

/** Node 20 has no WebSocket of its own. */
export function nodeTransport(url: string): Transport {
  return webSocketTransport(url, WebSocket as unknown as typeof globalThis.WebSocket)
}

export interface Proxy {
  readonly url: string
  /** Cuts every connection that there is. */
  cut(): void
  /** Cuts them as soon as one of them carries something this way, which does not arrive. */
  cutAt(what: 'request' | 'answer'): void
  /** Passes nothing on, and closes nothing: a half-open link. */
  freeze(frozen: boolean): void
  /** Connections made so far. */
  readonly made: number
  close(): Promise<void>
}

/** A TCP proxy in front of a server, whose connections can be broken. */
export async function startProxy(target: string): Promise<Proxy> {
  const { port, hostname } = new URL(target)
  const sockets = new Set<Socket>()
  let frozen = false
  let cutsAt: 'request' | 'answer' | null = null
  let made = 0
  const cut = (): void => sockets.forEach((socket) => socket.resetAndDestroy())
  const server = createServer((near) => {
    made++
    const far = connect(Number(port), hostname)
    for (const [socket, other] of [[near, far], [far, near]] as const) {
      sockets.add(socket)
      socket.on('data', (chunk) => {
        if (frozen) return
        if (cutsAt !== (socket === near ? 'request' : 'answer')) return void other.write(chunk)
        cutsAt = null
        cut()
      })
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        if (!frozen) other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address() as { port: number }
  return {
    url: `http://127.0.0.1:${address.port}`,
    cut,
    cutAt: (what) => void (cutsAt = what),
    freeze: (now) => void (frozen = now),
    get made() {
      return made
    },
    close() {
      sockets.forEach((socket) => socket.destroy())
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
