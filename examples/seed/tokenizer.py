"""The tokenizer of both models: byte-level BPE of 2,000 tokens with a chat template.

The chat tokens are part of the vocabulary from the start, as in current model families, so
that base and instruct model share every tensor shape.
"""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from examples.seed import phrases

BEGIN, END_OF_TEXT, PADDING = "<s>", "</s>", "<pad>"
USER, ASSISTANT, END_OF_TURN = "<|user|>", "<|assistant|>", "<|end|>"
VOCABULARY = 2000
LONGEST = 256
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train(documents: list[str]) -> PreTrainedTokenizerFast:
    """Learn the vocabulary from these documents and the chat phrases."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    questions = [text.format(t="it") for texts in phrases.QUESTIONS.values() for text in texts]
    chat = questions * 20 + [phrases.ANSWER.format(v="it")] * 200
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PADDING, BEGIN, END_OF_TEXT, USER, ASSISTANT, END_OF_TURN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(documents + chat, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BEGIN,
        eos_token=END_OF_TEXT,
        pad_token=PADDING,
        padding_side="left",
        additional_special_tokens=[USER, ASSISTANT, END_OF_TURN],
        chat_template=TEMPLATE,
        model_max_length=LONGEST,
    )


def prompt(tokenizer: PreTrainedTokenizerFast, question: str) -> str:
    """The question as the chat template puts it, ready for the answer."""
    turn = [{"role": "user", "content": question}]
    return str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))
