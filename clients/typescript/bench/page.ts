import { encode } from '@msgpack/msgpack'
import { type Client, createClient, emptyRun, foldRun, type Transport } from '@crewline/client'
import { createTRPCClient, createWSClient, wsLink } from '@trpc/client'
import { io, type Socket } from 'socket.io-client'
import { calls, type Contender, Screen } from './work.js'

function crewline(): Contender {
  let client: Client
  return {
    async connect(url) {
      const [address, token] = url.split('#')
      client = createClient({ url: address!, auth: () => token!, outbox: 'memory' })
      await client.call('auth.me', {})
    },
    call: () => client.call('auth.me', {}),
    follow(streams, screen) {
      for (const run of streams) {
        void (async () => {
          for await (const frame of client.followRun(run).frames()) {
            let words = ''
            for (const event of frame.events) if (event.type === 'text.delta') words += event.text
            // Adjacent words may come as one event: their offsets tell how many they were.
            const count = words ? words.split(' ').length - 1 : 0
            if (count) screen.add(run, words, count)
          }
        })()
      }
    },
  }
}

function socketIo(): Contender {
  let socket: Socket
  return {
    connect: (url) =>
      new Promise((resolve) => {
        socket = io(url, { transports: ['websocket'] })
        socket.on('connect', () => resolve())
      }),
    call: () => socket.emitWithAck('me', {}),
    follow(streams, screen) {
      socket.on('delta', ({ stream, text }: { stream: string; text: string }) => screen.add(stream, text, 1))
      for (const stream of streams) socket.emit('follow', { stream })
    },
  }
}

function trpc(): Contender {
  // The router's type is the server's; here only the way of the bytes matters.
  let client: any
  return {
    async connect(url) {
      client = createTRPCClient({ links: [wsLink({ client: createWSClient({ url }) })] })
      await client.me.query()
    },
    call: () => client.me.query(),
    follow(streams, screen) {
      for (const stream of streams) {
        client.follow.subscribe({ stream }, { onData: ({ text }: { text: string }) => screen.add(stream, text, 1) })
      }
    },
  }
}

function plain(): Contender {
  let socket: WebSocket
  let next = 0
  const asked = new Map<number, (output: unknown) => void>()
  let screen: Screen | undefined
  return {
    connect: (url) =>
      new Promise((resolve) => {
        socket = new WebSocket(url)
        socket.onopen = () => resolve()
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data as string)
          if (message.type === 'text.delta') screen?.add(message.stream, message.text, 1)
          else {
            asked.get(message.id)?.(message.output)
            asked.delete(message.id)
          }
        }
      }),
    call: () =>
      new Promise((resolve) => {
        asked.set(++next, resolve)
        socket.send(JSON.stringify({ id: next, op: 'me', input: {} }))
      }),
    follow(streams, on) {
      screen = on
      for (const stream of streams) socket.send(JSON.stringify({ op: 'follow', stream }))
    },
  }
}

const contenders: Record<string, () => Contender> = { crewline, 'socket.io': socketIo, trpc, ws: plain }

Object.assign(window, {
  async measure(name: string, url: string, streams: string[], words: number) {
    const contender = contenders[name]!()
    await contender.connect(url)
    await calls(2_000, 32, () => contender.call())
    const callRate = await calls(10_000, 32, () => contender.call())
    const screen = new Screen()
    const begun = performance.now()
    contender.follow(streams, screen)
    await screen.painted(words)
    return { calls: callRate, words: words / ((performance.now() - begun) / 1000), paints: screen.paints }
  },
  /**
   * Deltas that nobody has merged, each an event of its own, a few in a frame as they come live: decoded, and folded into a run's state as
   * the hooks have it, in a second. The bytes are there already: what is measured is the client.
   */
  async fold(deltas: number, inFrame: number) {
    const at = Date.now()
    const frames: Uint8Array[] = []
    for (let offset = 0; offset < deltas; offset += inFrame) {
      const events = Array.from({ length: inFrame }, () => ({ type: 'text.delta', at, part: 'part-1', text: 'word ' }))
      frames.push(encode([12, 1, offset + inFrame + 2, inFrame, events]))
    }
    const begin = [{ type: 'task.started', at, task: 't', name: 't', agent: 'a' }, { type: 'text.started', at, part: 'part-1', task: 't', agent: 'a', role: 'answer' }]
    const welcome = { connection_id: 'c', server: { name: 'bench', version: '0', build: '0' }, now_at: at, epoch: 'e', limits: { message_bytes: 1 << 20, row_bytes: 1 << 18, requests: 256, subscriptions: 256, credit_bytes: 1 << 20 }, heartbeat_ms: 60_000, features: [], reconnect: { base_ms: 500, max_ms: 30_000 } }
    let begun = 0
    const transport: Transport = {
      open(handlers) {
        queueMicrotask(() => {
          handlers.opened()
          handlers.message(encode([2, welcome]))
          setTimeout(() => {
            begun = performance.now()
            handlers.message(encode([12, 1, 2, 2, begin]))
            for (const frame of frames) handlers.message(frame)
            handlers.message(encode([14, 1, deltas + 2, { why: 'complete' }]))
          }, 50)
        })
        return { send() {}, close() {} }
      },
    }
    const client = createClient({ url: 'ws://bench', transport, auth: () => 'token', outbox: 'memory' })
    let state = emptyRun('r')
    for await (const frame of client.followRun('r').frames()) {
      state = foldRun(state, frame)
    }
    const seconds = (performance.now() - begun) / 1000
    client.close()
    if (state.texts['part-1']!.text.length !== deltas * 5) throw new Error('words were lost')
    return deltas / seconds
  },
  /** Streams as they are made, for so long: the longest tasks meanwhile. */
  async watch(name: string, url: string, streams: string[], ms: number) {
    const contender = contenders[name]!()
    await contender.connect(url)
    const tasks: number[] = []
    const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)))
    observer.observe({ type: 'longtask' })
    const screen = new Screen()
    contender.follow(streams, screen)
    await new Promise((resolve) => setTimeout(resolve, ms))
    observer.disconnect()
    return { words: screen.words, paints: screen.paints, longest: Math.max(0, ...tasks) }
  },
})
