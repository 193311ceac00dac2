"""What ``peers.py`` has each framework do, in a process of its own; it prints one JSON object.

    python peer_work.py FRAMEWORK {ingest|ask|query} STORE JOB.json

Run by the peers' interpreter, so it imports nothing of Footnote but for Footnote's own turn. Each framework is used
as its documentation shows: its usual splitter, batches of 32 where it takes a batch size, a Chroma folder (txtai:
its own), the same encoder from the same folder.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

BATCH = 32


class LlamaIndex:
    def __init__(self, store: Path, model: str) -> None:
        import chromadb
        from llama_index.core import VectorStoreIndex
        from llama_index.core.ingestion import IngestionPipeline
        from llama_index.core.node_parser import SentenceSplitter
        from llama_index.core.storage.docstore import SimpleDocumentStore
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding
        from llama_index.vector_stores.chroma import ChromaVectorStore

        self.encoder = HuggingFaceEmbedding(model_name=model, embed_batch_size=BATCH)
        client = chromadb.PersistentClient(str(store))
        self.collection = client.get_or_create_collection("peers")
        vectors = ChromaVectorStore(chroma_collection=self.collection)
        self.pipeline = IngestionPipeline(
            transformations=[SentenceSplitter(chunk_size=256, chunk_overlap=20), self.encoder],
            vector_store=vectors,
            docstore=SimpleDocumentStore(),
        )
        self.retriever = VectorStoreIndex.from_vector_store(vectors, embed_model=self.encoder).as_retriever(
            similarity_top_k=5
        )

    def warm(self) -> None:
        self.encoder.get_text_embedding("warm up")

    def ingest(self, corpus: Path) -> None:
        from llama_index.core import SimpleDirectoryReader

        documents = SimpleDirectoryReader(str(corpus), recursive=True, filename_as_id=True).load_data()
        self.pipeline.run(documents=documents)

    def count(self) -> int:
        return int(self.collection.count())

    def search(self, question: str) -> list[str]:
        return [node.text for node in self.retriever.retrieve(question)]


class LangChain:
    def __init__(self, store: Path, model: str) -> None:
        from langchain_chroma import Chroma
        from langchain_core.indexing import InMemoryRecordManager
        from langchain_huggingface import HuggingFaceEmbeddings
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        self.encoder = HuggingFaceEmbeddings(model_name=model, encode_kwargs={"batch_size": BATCH})
        self.vectors = Chroma("peers", self.encoder, persist_directory=str(store))
        self.splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
        self.records = InMemoryRecordManager("peers")
        self.records.create_schema()

    def warm(self) -> None:
        self.encoder.embed_query("warm up")

    def ingest(self, corpus: Path) -> None:
        from langchain_core.documents import Document
        from langchain_core.indexing import index

        documents = [
            Document(path.read_text("utf-8"), metadata={"source": str(path)})
            for path in sorted(corpus.rglob("*.txt"))
        ]
        split = self.splitter.split_documents(documents)
        index(
            split,
            self.records,
            self.vectors,
            cleanup="incremental",
            source_id_key="source",
            key_encoder="sha256",
        )

    def count(self) -> int:
        return int(self.vectors._collection.count())

    def search(self, question: str) -> list[str]:
        return [found.page_content for found in self.vectors.similarity_search(question, k=5)]


class Haystack:
    def __init__(self, store: Path, model: str) -> None:
        from haystack import Pipeline
        from haystack.components.preprocessors import DocumentSplitter
        from haystack.components.writers import DocumentWriter
        from haystack.document_stores.types import DuplicatePolicy
        from haystack_integrations.components.embedders.sentence_transformers import (
            SentenceTransformersDocumentEmbedder,
            SentenceTransformersTextEmbedder,
        )
        from haystack_integrations.components.retrievers.chroma import ChromaEmbeddingRetriever
        from haystack_integrations.document_stores.chroma import ChromaDocumentStore

        self.documents = ChromaDocumentStore("peers", persist_path=str(store))
        self.indexing = Pipeline()
        self.indexing.add_component("split", DocumentSplitter(split_by="word", split_length=150))
        self.indexing.add_component(
            "embed", SentenceTransformersDocumentEmbedder(model=model, batch_size=BATCH, progress_bar=False)
        )
        self.indexing.add_component("write", DocumentWriter(self.documents, policy=DuplicatePolicy.OVERWRITE))
        self.indexing.connect("split.documents", "embed.documents")
        self.indexing.connect("embed.documents", "write.documents")
        self.asking = Pipeline()
        self.asking.add_component("embed", SentenceTransformersTextEmbedder(model=model, progress_bar=False))
        self.asking.add_component("find", ChromaEmbeddingRetriever(self.documents, top_k=5))
        self.asking.connect("embed.embedding", "find.query_embedding")
        self.asking.warm_up()

    def warm(self) -> None:
        self.indexing.warm_up()

    def ingest(self, corpus: Path) -> None:
        from haystack import Document

        documents = [
            Document(content=path.read_text("utf-8"), meta={"source": str(path)})
            for path in sorted(corpus.rglob("*.txt"))
        ]
        self.indexing.run({"split": {"documents": documents}})

    def count(self) -> int:
        return int(self.documents.count_documents())

    def search(self, question: str) -> list[str]:
        found: dict[str, Any] = self.asking.run({"embed": {"text": question}})
        return [document.content for document in found["find"]["documents"]]


class Txtai:
    def __init__(self, store: Path, model: str) -> None:
        from txtai import Embeddings

        self.store = str(store / "index")
        self.embeddings = Embeddings(path=model, content=True, encodebatch=BATCH)
        if (store / "index").exists():
            self.embeddings.load(self.store)

    def warm(self) -> None:
        self.embeddings.batchtransform(["warm up"])

    def ingest(self, corpus: Path) -> None:
        rows = []
        for path in sorted(corpus.rglob("*.txt")):
            paragraphs = [part for part in path.read_text("utf-8").split("\n\n") if part.strip()]
            rows += [(f"{path.name}#{i}", part) for i, part in enumerate(paragraphs)]
        self.embeddings.upsert(rows)
        self.embeddings.save(self.store)

    def count(self) -> int:
        return int(self.embeddings.count())

    def search(self, question: str) -> list[str]:
        return [found["text"] for found in self.embeddings.search(question, 5)]


class Footnote:
    def __init__(self, store: Path, model: str) -> None:
        from rag.core.settings import load_settings
        from rag.wiring import open_footnote

        del model  # the built-in encoder is the same one
        self.footnote = open_footnote(load_settings(store=store / "footnote"), create=True)

    def warm(self) -> None:
        self.footnote.embedder.embed(["warm up"], "document")

    def ingest(self, corpus: Path) -> None:
        self.footnote.ingest([corpus])

    def count(self) -> int:
        return sum(info.n_chunks for info in self.footnote.sources())

    def search(self, question: str) -> list[str]:
        return [hit.chunk.text for hit in self.footnote.search(question, k=5).hits]


FRAMEWORKS = {
    "footnote": Footnote,
    "footnote int8": Footnote,
    "llamaindex": LlamaIndex,
    "langchain": LangChain,
    "haystack": Haystack,
    "txtai": Txtai,
}


def main() -> None:
    name, task, store, job_file = sys.argv[1:5]
    job: dict[str, Any] = json.loads(Path(job_file).read_text("utf-8"))
    framework: Any = FRAMEWORKS[name](Path(store), job["model"])
    if task == "ingest":
        print(json.dumps(_ingest(framework, Path(job["corpus"]))))
    elif task == "ask":
        print(json.dumps({"answer": framework.search(job["questions"][0])[0][:200]}))
    else:
        print(json.dumps(_query(framework, job["questions"])))


def _ingest(framework: Any, corpus: Path) -> dict[str, float]:
    """The encoder is loaded and warm: only the work counts."""
    framework.warm()
    begun = time.perf_counter()
    framework.ingest(corpus)
    first_s = time.perf_counter() - begun
    n_chunks = framework.count()
    begun = time.perf_counter()
    framework.ingest(corpus)
    return {
        "ingest_s": first_s,
        "chunks": n_chunks,
        "again_s": time.perf_counter() - begun,
        "chunks_after": framework.count(),
    }


def _query(framework: Any, questions: list[str]) -> dict[str, float | None]:
    """Every question is a new one."""
    alone, together = questions[: len(questions) // 3], questions[len(questions) // 3 :]
    times = []
    for question in alone:
        begun = time.perf_counter()
        framework.search(question)
        times.append(time.perf_counter() - begun)
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(framework.search, together[:16]))
            begun = time.perf_counter()
            list(threads.map(framework.search, together[16:]))
            per_s = (len(together) - 16) / (time.perf_counter() - begun)
    except Exception as exc:  # a framework that cannot be used from threads
        print(f"8 threads: {type(exc).__name__}: {exc}", file=sys.stderr)
        per_s = None
    return {"p50_ms": statistics.median(times[5:]) * 1000, "per_s": per_s}


if __name__ == "__main__":
    main()
