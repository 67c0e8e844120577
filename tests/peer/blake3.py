"""BLAKE3 in plain Python: hash, keyed hash and key derivation, 32 bytes out. Slow, and good enough for a peer in tests.

Written from the BLAKE3 specification (sections 2.1 to 2.5); names are those of the specification.
"""

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
CHUNK_START, CHUNK_END, PARENT, ROOT, KEYED_HASH, DERIVE_KEY_CONTEXT, DERIVE_KEY_MATERIAL = (1 << n for n in range(7))
COLUMNS_AND_DIAGONALS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
WORD = 0xFFFFFFFF


def rotate(word, by):
    return (word >> by | word << 32 - by) & WORD


def compress(chaining, block, counter, length, flags):
    v = [*chaining, *IV[:4], counter & WORD, counter >> 32, length, flags]
    m = [int.from_bytes(block[at : at + 4], "little") for at in range(0, 64, 4)]
    for _ in range(7):
        for n, (a, b, c, d) in enumerate(COLUMNS_AND_DIAGONALS):
            for x, turn, other in ((m[2 * n], 16, 12), (m[2 * n + 1], 8, 7)):
                v[a] = (v[a] + v[b] + x) & WORD
                v[d] = rotate(v[d] ^ v[a], turn)
                v[c] = (v[c] + v[d]) & WORD
                v[b] = rotate(v[b] ^ v[c], other)
        m = [m[n] for n in PERMUTATION]
    return [v[n] ^ v[n + 8] for n in range(8)]


def words(data):
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def chunk(data, counter, key, flags, root):
    chaining = key
    blocks = [data[at : at + 64] for at in range(0, len(data), 64)] or [b""]
    for n, block in enumerate(blocks):
        extra = (CHUNK_START if n == 0 else 0) | ((CHUNK_END | root) if n == len(blocks) - 1 else 0)
        chaining = compress(chaining, block.ljust(64, b"\0"), counter, len(block), flags | extra)
    return chaining


def tree(data, counter, key, flags, root):
    if len(data) <= 1024:
        return chunk(data, counter, key, flags, root)
    left = 1 << ((len(data) - 1) // 1024).bit_length() - 1
    halves = tree(data[: left * 1024], counter, key, flags, 0) + tree(data[left * 1024 :], counter + left, key, flags, 0)
    block = b"".join(word.to_bytes(4, "little") for word in halves)
    return compress(key, block, 0, 64, flags | PARENT | root)


def digest(data, key, flags):
    return b"".join(word.to_bytes(4, "little") for word in tree(bytes(data), 0, key, flags, ROOT))


def blake3(data):
    return digest(data, IV, 0)


def keyed(key, data):
    return digest(data, words(key), KEYED_HASH)


def derive_key(context, material):
    return digest(material, words(digest(context.encode(), IV, DERIVE_KEY_CONTEXT)), DERIVE_KEY_MATERIAL)
