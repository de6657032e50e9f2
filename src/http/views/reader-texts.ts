/** What the pages for readers of mail say, in their language. Nothing in here is HTML. */
import type { Language } from '../../services/languages.ts';

export interface ReaderTexts {
  readonly unsubscribe: string;
  readonly askAboutTopic: (topic: string) => string;
  readonly askAboutAll: string;
  readonly unsubscribed: string;
  readonly unsubscribedText: string;
  readonly byMistake: string;
  readonly subscribeAgain: string;
  readonly subscribed: string;
  readonly subscribedText: string;
  readonly toPreferences: string;
  readonly preferences: string;
  readonly chooseTopics: string;
  readonly noTopics: string;
  readonly save: string;
  readonly saved: string;
  readonly endEverything: string;
  readonly endEverythingText: string;
  readonly everythingEnded: string;
  readonly saveAndSubscribe: string;
  readonly join: string;
  readonly askToJoin: (list: string) => string;
  readonly joinButton: string;
  readonly joined: string;
  readonly joinedText: (list: string) => string;
  readonly invalid: string;
  readonly invalidText: string;
  readonly joinInvalidText: string;
}

export const READER_TEXTS: Readonly<Record<Language, ReaderTexts>> = {
  en: {
    unsubscribe: 'Unsubscribe',
    askAboutTopic: (topic) => `Press the button to get no more mail about “${topic}”.`,
    askAboutAll: 'Press the button to get no more mail from the lists of this sender.',
    unsubscribed: 'You are unsubscribed',
    unsubscribedText: 'You will get no more mail of this kind. You can close this page.',
    byMistake: 'Was it a mistake?',
    subscribeAgain: 'Subscribe again',
    subscribed: 'You are subscribed again',
    subscribedText: 'You will get this mail again. You can close this page.',
    toPreferences: 'Choose what you get',
    preferences: 'What would you like to get?',
    chooseTopics: 'Topics',
    noTopics: 'This sender has no topics to choose from.',
    save: 'Save',
    saved: 'Your choices are saved.',
    endEverything: 'Unsubscribe from everything',
    endEverythingText: 'Or get nothing more from the lists of this sender, whatever is chosen above:',
    everythingEnded: 'You are unsubscribed from everything. To get mail again, choose what, and save.',
    saveAndSubscribe: 'Save and subscribe again',
    join: 'Confirm your subscription',
    askToJoin: (list) => `Press the button to get the mail of “${list}”.`,
    joinButton: 'Yes, subscribe me',
    joined: 'You are subscribed',
    joinedText: (list) => `You will get the mail of “${list}”. You can close this page.`,
    invalid: 'This link is not valid',
    invalidText: 'Perhaps a part of it is missing. Open the link in the mail once more, or copy all of it.',
    joinInvalidText: 'Perhaps it is too old, or a part of it is missing. Please subscribe once more.',
  },
  de: {
    unsubscribe: 'Abmelden',
    askAboutTopic: (topic) => `Mit dem Knopf melden Sie sich von „${topic}“ ab.`,
    askAboutAll: 'Mit dem Knopf melden Sie sich von den Verteilern dieses Absenders ab.',
    unsubscribed: 'Sie sind abgemeldet',
    unsubscribedText: 'Sie bekommen keine solchen E-Mails mehr. Sie können diese Seite schließen.',
    byMistake: 'War es ein Versehen?',
    subscribeAgain: 'Wieder anmelden',
    subscribed: 'Sie sind wieder angemeldet',
    subscribedText: 'Sie bekommen diese E-Mails wieder. Sie können diese Seite schließen.',
    toPreferences: 'Auswählen, was Sie bekommen',
    preferences: 'Was möchten Sie bekommen?',
    chooseTopics: 'Themen',
    noTopics: 'Bei diesem Absender gibt es keine Themen zur Auswahl.',
    save: 'Speichern',
    saved: 'Ihre Auswahl ist gespeichert.',
    endEverything: 'Von allem abmelden',
    endEverythingText:
      'Oder bekommen Sie nichts mehr aus den Verteilern dieses Absenders, gleich was oben gewählt ist:',
    everythingEnded:
      'Sie sind von allem abgemeldet. Um wieder etwas zu bekommen, wählen Sie es aus und speichern Sie.',
    saveAndSubscribe: 'Speichern und wieder anmelden',
    join: 'Bestätigen Sie Ihre Anmeldung',
    askToJoin: (list) => `Mit dem Knopf melden Sie sich für „${list}“ an.`,
    joinButton: 'Ja, anmelden',
    joined: 'Sie sind angemeldet',
    joinedText: (list) => `Sie bekommen die E-Mails von „${list}“. Sie können diese Seite schließen.`,
    invalid: 'Dieser Link ist nicht gültig',
    invalidText:
      'Vielleicht fehlt ein Teil davon. Öffnen Sie den Link in der E-Mail noch einmal, oder kopieren Sie ihn ganz.',
    joinInvalidText:
      'Vielleicht ist er zu alt, oder ein Teil davon fehlt. Bitte melden Sie sich noch einmal an.',
  },
  fr: {
    unsubscribe: 'Se désabonner',
    askAboutTopic: (topic) => `Appuyez sur le bouton pour ne plus recevoir de messages sur « ${topic} ».`,
    askAboutAll: 'Appuyez sur le bouton pour ne plus recevoir de messages des listes de cet expéditeur.',
    unsubscribed: 'Vous êtes désabonné',
    unsubscribedText: 'Vous ne recevrez plus de messages de ce genre. Vous pouvez fermer cette page.',
    byMistake: 'Était-ce une erreur ?',
    subscribeAgain: 'Se réabonner',
    subscribed: 'Vous êtes de nouveau abonné',
    subscribedText: 'Vous recevrez de nouveau ces messages. Vous pouvez fermer cette page.',
    toPreferences: 'Choisir ce que vous recevez',
    preferences: 'Que souhaitez-vous recevoir ?',
    chooseTopics: 'Sujets',
    noTopics: 'Cet expéditeur ne propose aucun sujet au choix.',
    save: 'Enregistrer',
    saved: 'Vos choix sont enregistrés.',
    endEverything: 'Se désabonner de tout',
    endEverythingText:
      'Ou ne plus rien recevoir des listes de cet expéditeur, quels que soient les choix ci-dessus :',
    everythingEnded:
      'Vous êtes désabonné de tout. Pour recevoir de nouveau des messages, choisissez lesquels et enregistrez.',
    saveAndSubscribe: 'Enregistrer et se réabonner',
    join: 'Confirmez votre abonnement',
    askToJoin: (list) => `Appuyez sur le bouton pour recevoir les messages de « ${list} ».`,
    joinButton: 'Oui, je m’abonne',
    joined: 'Vous êtes abonné',
    joinedText: (list) => `Vous recevrez les messages de « ${list} ». Vous pouvez fermer cette page.`,
    invalid: 'Ce lien n’est pas valable',
    invalidText:
      'Il en manque peut-être une partie. Ouvrez de nouveau le lien dans le message, ou copiez-le en entier.',
    joinInvalidText:
      'Il est peut-être trop ancien, ou il en manque une partie. Veuillez vous abonner de nouveau.',
  },
  es: {
    unsubscribe: 'Darse de baja',
    askAboutTopic: (topic) => `Pulse el botón para no recibir más mensajes sobre «${topic}».`,
    askAboutAll: 'Pulse el botón para no recibir más mensajes de las listas de este remitente.',
    unsubscribed: 'Se ha dado de baja',
    unsubscribedText: 'No recibirá más mensajes de este tipo. Puede cerrar esta página.',
    byMistake: '¿Ha sido un error?',
    subscribeAgain: 'Suscribirse de nuevo',
    subscribed: 'Está suscrito de nuevo',
    subscribedText: 'Volverá a recibir estos mensajes. Puede cerrar esta página.',
    toPreferences: 'Elegir qué recibe',
    preferences: '¿Qué desea recibir?',
    chooseTopics: 'Temas',
    noTopics: 'Este remitente no tiene temas para elegir.',
    save: 'Guardar',
    saved: 'Su elección se ha guardado.',
    endEverything: 'Darse de baja de todo',
    endEverythingText:
      'O no recibir nada más de las listas de este remitente, sea cual sea la elección de arriba:',
    everythingEnded: 'Se ha dado de baja de todo. Para volver a recibir mensajes, elija cuáles y guarde.',
    saveAndSubscribe: 'Guardar y suscribirse de nuevo',
    join: 'Confirme su suscripción',
    askToJoin: (list) => `Pulse el botón para recibir los mensajes de «${list}».`,
    joinButton: 'Sí, suscribirme',
    joined: 'Está suscrito',
    joinedText: (list) => `Recibirá los mensajes de «${list}». Puede cerrar esta página.`,
    invalid: 'Este enlace no es válido',
    invalidText: 'Quizá falte una parte. Abra de nuevo el enlace del mensaje, o cópielo entero.',
    joinInvalidText: 'Quizá sea demasiado antiguo, o falte una parte. Suscríbase otra vez, por favor.',
  },
};
