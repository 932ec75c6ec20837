/** An instant as the API writes it, or null. */
export function orNull(instant: Date | null): string | null {
  return instant?.toISOString() ?? null;
}
