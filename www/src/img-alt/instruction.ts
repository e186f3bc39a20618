/** The instruction for an alternative text. */

/** The place of a picture. */
export interface AltPlace {
  /** A language tag, or the name of a language. */
  language: string;
  /** Words about the place, such as the title of a page. */
  context?: string;
  caption?: string;
  /** The address of a link whose only content is the picture. */
  link?: string;
}

/** The instruction for an alternative text. */
export function altInstruction({ language, context, caption, link }: AltPlace): string {
  return [
    "Write the alternative text of this picture for people who cannot see it:",
    `one sentence in ${languageName(language)}, at most 125 characters.`,
    "Say what it shows and what matters for its place.",
    "Words in the picture that carry meaning stand as they are, however long the text becomes.",
    'Do not begin with "image of", "picture of" or the like. No quotation marks around the whole.',
    ...(context ? [`It stands here: ${context}`] : []),
    ...(caption ? [`Its caption: ${caption}`] : []),
    ...(link ? [`It is a link to: ${link}. Say where the link leads.`] : []),
    "If it is only decoration, such as a line, a plain colour or an ornament, answer with the one word DECORATIVE.",
  ].join(" ");
}

/** The English name of a language tag; other words are returned as they are. */
export function languageName(language: string): string {
  if (!/^[a-z]{2,3}(-\w+)*$/i.test(language)) return language;
  try {
    return new Intl.DisplayNames("en", { type: "language" }).of(language) ?? language;
  } catch {
    return language;
  }
}
