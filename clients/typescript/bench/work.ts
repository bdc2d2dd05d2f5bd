/** What each contender does in the page, the same for all: fold the words of several streams into texts, and paint them once a frame. */

/** Words of each stream, joined when they are painted. */
export class Screen {
  private readonly texts = new Map<string, string[]>()
  private readonly boxes = new Map<string, HTMLElement>()
  private painting = false
  words = 0
  paints = 0

  add(stream: string, words: string, count: number): void {
    let text = this.texts.get(stream)
    if (!text) this.texts.set(stream, (text = []))
    text.push(words)
    this.words += count
    if (this.painting) return
    this.painting = true
    requestAnimationFrame(() => this.paint())
  }

  private paint(): void {
    this.painting = false
    this.paints++
    for (const [stream, text] of this.texts) {
      let box = this.boxes.get(stream)
      if (!box) this.boxes.set(stream, (box = document.body.appendChild(document.createElement('p'))))
      const joined = text.join('')
      this.texts.set(stream, [joined])
      // The end of it, as a transcript shows: laying out a megabyte is not what is measured.
      box.textContent = joined.slice(-2_000)
    }
  }

  /** Waits until so many words have been painted. */
  async painted(words: number): Promise<void> {
    while (this.words < words || this.painting) await new Promise((resolve) => requestAnimationFrame(resolve))
  }
}

/** Calls made one after another on so many lanes. */
export async function calls(total: number, lanes: number, call: () => Promise<unknown>): Promise<number> {
  let left = total
  const begun = performance.now()
  await Promise.all(Array.from({ length: lanes }, async () => {
    while (left-- > 0) await call()
  }))
  return total / ((performance.now() - begun) / 1000)
}

export interface Contender {
  connect(url: string): Promise<void>
  call(): Promise<unknown>
  /** Follows streams of so many words each, from their beginning, as fast as they come. */
  follow(streams: readonly string[], screen: Screen): void
}
