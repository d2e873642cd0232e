/** Notes a fault of the values: the key, by its path, and what was expected of it. */
export type Refuse = (keys: readonly (string | number)[], message: string) => void;
