"""The process of warm.c, as lean as Python can have it: one frame in, one frame out."""
import os

os.write(4, b"*2\r\n$5\r\nREADY\r\n$1\r\n1\r\n")
while data := os.read(3, 4096):
    strings = data.split(b"\r\n")
    ident, payload = strings[4], strings[10]
    os.write(4, b"*3\r\n$2\r\nOK\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"
             % (len(ident), ident, len(payload), payload))
