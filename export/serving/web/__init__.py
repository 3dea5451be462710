"""A static site that runs the TFLite file of a bundle in the browser, by LiteRT.js."""
