/** Plurals of Arabic. One and two need no number; the forms after it are those for 3 to 10, and for all others. */
import { category, number } from "../format.js";

export interface Forms {
  one: string;
  two: string;
  few: string;
  other: string;
}

export function counted(value: number, { one, two, few, other }: Forms): string {
  const kind = category(value);
  if (kind === "one") return one;
  if (kind === "two") return two;
  return `${number(value)} ${kind === "few" ? few : other}`;
}

export const PICTURES: Forms = { one: "صورة واحدة", two: "صورتان", few: "صور", other: "صورة" };
export const FILES: Forms = { one: "ملف واحد", two: "ملفان", few: "ملفات", other: "ملفًا" };
export const CONVERSATIONS: Forms = { one: "محادثة واحدة", two: "محادثتان", few: "محادثات", other: "محادثة" };
export const TOKENS: Forms = { one: "رمز واحد", two: "رمزان", few: "رموز", other: "رمزًا" };
