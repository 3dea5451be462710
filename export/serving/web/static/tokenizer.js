// Texts as token ids, as tokenizer.json of the bundle says:
// {"lowercase": A to Z, "replace": [[pattern, text], ...], "token": pattern, "parts": whether an unknown token becomes its
// characters, "unknown": id, "fill": id, "forms": whether a word of the vocabulary has forms, separated by spaces}. Patterns are
// regular expressions of Unicode characters.
export class Tokenizer {
  constructor({ vocabulary, tokenizer }) {
    const forms = tokenizer.forms ? (word) => word.split(" ") : (word) => [word]; // film, Film and FILM are one word
    this.index = new Map(vocabulary.flatMap((word, i) => forms(word).map((form) => [form, i])));
    this.rules = tokenizer;
    this.replaced = (tokenizer.replace ?? []).map(([pattern, text]) => [new RegExp(pattern, "gu"), text]);
    this.token = new RegExp(tokenizer.token, "gsu");
  }

  knows(token) {
    return this.index.has(token);
  }

  split(text) {
    if (this.rules.lowercase) text = text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    for (const [pattern, replacement] of this.replaced) text = text.replace(pattern, replacement);
    const tokens = text.match(this.token) ?? [];
    return this.rules.parts ? tokens.flatMap((token) => (this.knows(token) ? [token] : Array.from(token))) : tokens;
  }

  id(token) {
    return this.index.get(token) ?? this.rules.unknown;
  }

  ids(text) {
    return this.split(text).map((token) => this.id(token));
  }
}

// Ids of tokens, cut or filled to a length.
export function ids(tokenizer, tokens, length) {
  const known = tokens.slice(0, length).map((token) => tokenizer.id(token));
  return [...known, ...new Array(length - known.length).fill(tokenizer.rules.fill)];
}
