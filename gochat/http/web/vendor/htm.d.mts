// The little of htm's types that the page needs; not part of htm.
declare const htm: { bind(h: Function): (strings: TemplateStringsArray, ...values: any[]) => any };
export default htm;
