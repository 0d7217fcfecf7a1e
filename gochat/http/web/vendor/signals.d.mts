// The little of the signals' types that the page needs; not part of @preact/signals.
export interface Signal<T> { value: T }
export interface ReadonlySignal<T> { readonly value: T }
export function signal<T>(first: T): Signal<T>;
export function computed<T>(make: () => T): ReadonlySignal<T>;
export function effect(act: () => void): () => void;
export function batch<T>(act: () => T): T;
