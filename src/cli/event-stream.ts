/** One server-sent event. `id` is the last id that the stream has named, also when this event named none. */
export type ServerEvent = { type: string; data: string; id: string };

/** The lines of a text stream; LF, CRLF and CR all end one. An unended last line is dropped, as the standard says. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    // A CR at the very end may be the first half of a CRLF: it waits for the next chunk.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

/**
 * The events of a `text/event-stream` body (WHATWG HTML §9.2.6). Comments, which servers send to keep a connection
 * alive, are skipped, and so is an event that the end of the stream cut off.
 */
export async function* serverEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  let [type, data, id] = ['', [] as string[], ''];
  for await (const line of linesOf(chunks)) {
    if (line === '') {
      if (data.length > 0) yield { type: type || 'message', data: data.join('\n'), id };
      [type, data] = ['', []];
      continue;
    }
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === 'event') type = value;
    if (field === 'data') data.push(value);
    if (field === 'id' && !value.includes('\0')) id = value;
  }
}
