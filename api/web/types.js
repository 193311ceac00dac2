/**
 * What the service sends, as `/openapi.json` has it.
 *
 * @typedef {{marker: number, source: string, source_id: string, title: string, page: number | null,
 *   heading_path: string[], start: number, end: number}} Place
 * @typedef {Place & {quote: string, verdict: string}} Citation
 * @typedef {{text: string, citations: number[], verdict: string}} Sentence
 * @typedef {Sentence & {footnotes: Citation[]}} ReleasedSentence
 * @typedef {{source: string, title: string, page: number | null, heading_path: string[]}} Closest
 * @typedef {{mode: string, notices: string[], sources: Place[]}} Retrieved
 * @typedef {{answer: string, abstained: boolean, confidence: number, mode: string, sentences: Sentence[],
 *   citations: Citation[], closest: Closest[], withheld: Sentence[], notices: string[], cost_usd: number,
 *   timings_ms: Record<string, number>, trace_id: string, model: string | null, truncated: boolean}} Answer
 * @typedef {{id: string, source: string, uploaded: boolean, title: string, type: string, state: string,
 *   n_chunks: number, size_bytes: number, modified_at: string, reason: string | null,
 *   warnings: string[]}} DocumentInfo
 * @typedef {{name: string, document?: DocumentInfo | null, error?: {detail: string} | null}} UploadResult
 * @typedef {{role: "user" | "assistant", content: string}} Message
 * @typedef {{start: number, end: number}} Span
 */

export {};
