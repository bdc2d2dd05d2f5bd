import { expect, test } from 'vitest'
import { after, faultOf } from '../../src/core/connection.js'
import { CLOSES } from '../../src/protocol.js'

test('what is done after each close is what the protocol lists', () => {
  for (const [code, { after: listed }] of Object.entries(CLOSES)) {
    // The server never says that it is done: who loses a connection that is still needed makes another.
    expect(after(Number(code)), code).toBe(listed === 'done' ? 'reconnect' : listed)
  }
  expect([4100, 4150, 4199, 4250, 1006, 4050].map(after)).toEqual(['sign_in', 'sign_in', 'sign_in', 'stop', 'reconnect', 'reconnect'])
})

test('what a close says where no fault came before it is what the protocol lists', () => {
  for (const [code, { fault }] of Object.entries(CLOSES)) expect(faultOf(Number(code)), code).toBe(fault ?? 'disconnected')
  expect([4150, 4250, 1006, 4050].map(faultOf)).toEqual(['unauthenticated', 'disconnected', 'disconnected', 'disconnected'])
})
