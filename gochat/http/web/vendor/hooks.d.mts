// The little of the hooks' types that the page needs; not part of preact.
export function useState<T>(first: T): [T, (next: T | ((before: T) => T)) => void];
export function useRef<T>(first: T): { current: T };
export function useEffect(act: () => void | (() => void), on?: unknown[]): void;
export function useLayoutEffect(act: () => unknown, on?: unknown[]): void;
export function useMemo<T>(make: () => T, on: unknown[]): T;
export function useCallback<T>(act: T, on: unknown[]): T;
