mod processes;
