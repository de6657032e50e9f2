/** The mail that asks whether somebody wants to be on a list, in the language that the list names. */
import type { Language } from './languages.ts';

interface ConfirmationTexts {
  readonly subject: (list: string) => string;
  readonly text: (about: { readonly list: string; readonly link: string; readonly hours: number }) => string;
}

export const CONFIRMATION_TEXTS: Readonly<Record<Language, ConfirmationTexts>> = {
  en: {
    subject: (list) => `Please confirm: ${list}`,
    text: ({ list, link, hours }) => `Somebody, hopefully you, subscribed this address to “${list}”.

To confirm it, open this page and press the button on it:

${link}

The link is good for ${hours} hours. If it was not you, ignore this mail: without the
confirmation you are not subscribed.
`,
  },
  de: {
    subject: (list) => `Bitte bestätigen: ${list}`,
    text: ({ list, link, hours }) => `Jemand, hoffentlich Sie, hat diese Adresse für „${list}“ angemeldet.

Um das zu bestätigen, öffnen Sie diese Seite und drücken Sie dort auf den Knopf:

${link}

Der Link gilt ${hours} Stunden. Wenn Sie es nicht waren, lassen Sie diese E-Mail unbeachtet:
ohne die Bestätigung sind Sie nicht angemeldet.
`,
  },
  fr: {
    subject: (list) => `Veuillez confirmer : ${list}`,
    text: ({ list, link, hours }) => `Quelqu’un, vous espérons-le, a abonné cette adresse à « ${list} ».

Pour le confirmer, ouvrez cette page et appuyez sur le bouton :

${link}

Le lien est valable ${hours} heures. Si ce n’était pas vous, ignorez ce message :
sans confirmation, vous n’êtes pas abonné.
`,
  },
  es: {
    subject: (list) => `Confirme, por favor: ${list}`,
    text: ({ list, link, hours }) => `Alguien, esperamos que usted, ha suscrito esta dirección a «${list}».

Para confirmarlo, abra esta página y pulse el botón:

${link}

El enlace vale ${hours} horas. Si no ha sido usted, no haga caso de este mensaje:
sin la confirmación no queda suscrito.
`,
  },
};
