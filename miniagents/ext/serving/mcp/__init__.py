"""The server side of the Model Context Protocol: agents as tools, over HTTP and over standard input and output."""
