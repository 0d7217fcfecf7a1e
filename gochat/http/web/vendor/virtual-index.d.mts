// The little of virtual-core's types that the page needs; not part of @tanstack/virtual-core.
export const Virtualizer: any;
export const elementScroll: any;
export const observeElementOffset: any;
export const observeElementRect: any;
