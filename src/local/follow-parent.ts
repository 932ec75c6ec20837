// Loaded into every process that `npm start` makes: when the parent dies, however it dies, they end too.
process.on('disconnect', () => process.exit(1));
// The channel must not keep a process alive that has nothing else to do.
process.channel?.unref();
