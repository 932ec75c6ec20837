import { Option } from '@commander-js/extra-typings';

/** Which sandbox a command is for; `--url` names one that has no folder here. */
export const dirOption = () => new Option('--dir <folder>', 'folder of the sandbox').default('.sandbox');
export const tokenOption = () =>
  new Option('--admin-token-file <file>', 'its admin token (default: admin-token in the folder)');
