// The little of preact's types that the page needs; not part of preact.
export class Component<P = any> {
  props: P;
  shouldComponentUpdate?(next: P): boolean;
  render(props: P): any;
}
export function h(type: any, props: any, ...children: any[]): any;
export function render(tree: any, parent: Element): void;
export const Fragment: any;
