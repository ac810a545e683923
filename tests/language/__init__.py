"""The contract of the rules language, sentence by sentence: a sentence that is not true fails a test here."""
