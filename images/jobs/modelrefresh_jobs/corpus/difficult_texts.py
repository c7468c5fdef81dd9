"""Texts on which two implementations of one tokenizer are most likely to differ.

All of Latin, runs of white space, numbers and contractions, letters composed in several ways, many scripts, marks
that join, private and unassigned code points, long runs of one character. Knows no tokenizer.
"""

TEXTS = (
    "".join(map(chr, range(0x250))),
    "  two  spaces\t\ttabs \n\n lines\r\n\r\n \u00a0\u2009\u3000 ends in spaces   ",
    "I'll, don't, CAN'T we've; 1 12 123 1234 12345678 3.14 1e-5 x=y+1; def f(a_b): return a[0]  # {}",
    "Zu\u0308rich Z\u00fcrich \u1e0d\u0307 \u1e9b\u0323 \ufb01 \u0130I\u0131i \u03a3\u03c2\u03c3 \u01c4\u01c5",
    "\ufeffa\u200bb\u200dc\u00add \u2028\u2029\x85 \x00\x7f \ue000\ufffd \U0010fffd",
    "\u4e2d\u6587\u3002\u65e5\u672c\u8a9e\u306e\u6587\u7ae0 \ud55c\uad6d\uc5b4 \U00020000",
    "\u0e44\u0e17\u0e22 \u0939\u093f\u0928\u094d\u0926\u0940 \u0440\u0443\u0441 \u03b5\u03bb",
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea \u0967\u0968 \u0661\u0662 \u2460\u00bd",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea\u2764\ufe0f\U0001f44d\U0001f3fd",
    "a" * 300 + "ab" * 300 + " " * 300 + "\n" * 50 + "=" * 100 + "0" * 100,
)
