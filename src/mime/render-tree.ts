import * as base64 from 'nodemailer/lib/base64';
import type MimeNode from 'nodemailer/lib/mime-node';
import * as quotedPrintable from 'nodemailer/lib/qp';

/** The bytes that `tree.build()` gives, without its streams. For trees of which all content is short text. */
export function renderTree(tree: MimeNode): Buffer {
  const message = renderNode(tree);
  return Buffer.from(message.endsWith('\n') ? message : `${message}\r\n`);
}

function renderNode(node: MimeNode): string {
  // The boundary is set while the header is written.
  const header = `${node.buildHeaders()}\r\n\r\n`;
  if (!node.multipart) return header + renderContent(node);
  const delimiter = `--${node.boundary}`;
  const parts = node.childNodes.map(renderNode).join(`\r\n${delimiter}\r\n`);
  return `${header}${delimiter}\r\n${parts}\r\n${delimiter}--\r\n`;
}

function renderContent(node: MimeNode): string {
  const { content = '' } = node;
  if (typeof content !== 'string') throw new TypeError('Only text can be rendered without streams');
  switch (node.getTransferEncoding()) {
    case 'quoted-printable':
      return encodeQuotedPrintable(content);
    case 'base64':
      return base64.wrap(base64.encode(content));
    default:
      return content;
  }
}

/** As the streaming encoder does it, which keeps white space at the end apart until it knows what follows. */
function encodeQuotedPrintable(content: string): string {
  let end = content.length;
  while (end > 0 && (content[end - 1] === ' ' || content[end - 1] === '\t')) end--;
  const encoded = quotedPrintable.wrap(quotedPrintable.encode(content.slice(0, end)));
  if (end === content.length) return encoded;
  const lastLine = encoded.lastIndexOf('\n') + 1;
  const tail = encoded.slice(lastLine) + quotedPrintable.encode(content.slice(end));
  return encoded.slice(0, lastLine) + quotedPrintable.wrap(tail);
}
