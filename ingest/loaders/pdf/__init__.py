"""PDF: pypdf reads objects, fonts and streams; what is here puts the pieces of text in order."""
