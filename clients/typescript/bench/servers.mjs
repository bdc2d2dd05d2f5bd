/** The others' servers: each answers `me`, and says words as fast as its library sends them. */
import { createServer } from 'node:http'
import { initTRPC } from '@trpc/server'
import { applyWSSHandler } from '@trpc/server/adapters/ws'
import { Server } from 'socket.io'
import { WebSocketServer } from 'ws'

const PRINCIPAL = { kind: 'user', id: '018bcfe5-6800-7707-8707-070707070707', name: 'Load', workspace: { id: '018bcfe5-6800-7707-8707-070707070708', name: 'Load’s workspace' }, role: 'owner' }
const delta = (stream) => ({ type: 'text.delta', at: Date.now(), part: 'part-1', stream, text: 'word ' })
/** Lets sockets breathe: a server that never does sends nothing until it has made everything. */
const BATCH = 500
const breathe = () => new Promise((resolve) => setImmediate(resolve))

const listening = (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))

export async function startOthers(words) {
  const http = createServer()
  const io = new Server(http)
  io.on('connection', (socket) => {
    socket.on('me', (_, answer) => answer(PRINCIPAL))
    socket.on('follow', async ({ stream }) => {
      for (let word = 0; word < words; word++) {
        socket.emit('delta', delta(stream))
        if (word % BATCH === 0) await breathe()
      }
    })
  })
  const socketIo = await listening(http)

  const t = initTRPC.create()
  const router = t.router({
    me: t.procedure.query(() => PRINCIPAL),
    follow: t.procedure.input((input) => input).subscription(async function* ({ input }) {
      for (let word = 0; word < words; word++) yield delta(input.stream)
    }),
  })
  const trpcHttp = createServer()
  applyWSSHandler({ wss: new WebSocketServer({ server: trpcHttp }), router, createContext: () => ({}) })
  const trpc = await listening(trpcHttp)

  const plainHttp = createServer()
  new WebSocketServer({ server: plainHttp }).on('connection', (socket) => {
    socket.on('message', async (data) => {
      const { id, op, stream } = JSON.parse(data)
      if (op === 'me') return socket.send(JSON.stringify({ id, output: PRINCIPAL }))
      for (let word = 0; word < words; word++) {
        socket.send(JSON.stringify(delta(stream)))
        if (word % BATCH === 0) await breathe()
      }
    })
  })
  const plain = await listening(plainHttp)
  return {
    urls: { 'socket.io': `http://127.0.0.1:${socketIo}`, trpc: `ws://127.0.0.1:${trpc}`, ws: `ws://127.0.0.1:${plain}` },
    close() {
      io.close()
      trpcHttp.close()
      plainHttp.close()
    },
  }
}
