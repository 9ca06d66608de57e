def test_dbg(bart, tmp_path):
    import json
    from dataclasses import replace
    from bisum import compose, train
    from bisum.models.loading import load
    from bisum.corpus.corpus import load_corpus
    from bisum.corpus.tokenization import encode, Collator
    from bisum.evaluation.generation import generate, generation_config
    from contextlib import nullcontext
    w=["corpus.max_train_rows=16","corpus.max_eval_rows=4","model.max_document_tokens=64","model.max_summary_tokens=12","evaluation.bootstrap_samples=100","evaluation.shown_summaries=0","trainer.batch_size=8","trainer.epochs=2","trainer.log_every=1","hardware=cpu",f"model.checkpoint={bart}","generation.num_beams=2","trainer.learning_rate=2e-2","generation.min_tokens=5"]
    c=compose(w); train(c,tmp_path/"r")
    name=json.loads((tmp_path/"r/run.json").read_text())["test"]["checkpoint"]
    l=load(replace(c.model,checkpoint=str(tmp_path/"r/checkpoints"/name),architecture=None),1,"float32")
    print(l.model.generation_config); print(generation_config(l,c.generation))
    l.model.eval()
    corpus=load_corpus(c.corpus,c.filter,c.languages,c.seed)
    from bisum.records.screen import Screen
    sp=encode(corpus,l,tmp_path/"c",Screen(tmp_path/"log").progress)["test"]
    col=Collator(l)
    import torch
    with torch.inference_mode():
      for n in (1,4):
        for i in range(0,4,n):
            b=col([sp[j] for j in range(i,i+n)])
            print(n, l.model.generate(input_ids=b["input_ids"],attention_mask=b["attention_mask"],generation_config=generation_config(l,c.generation)).tolist())
            print(n,"plain", l.model.generate(input_ids=b["input_ids"],attention_mask=b["attention_mask"],max_new_tokens=12,min_new_tokens=5,num_beams=2,length_penalty=1.0,early_stopping=False,no_repeat_ngram_size=0,do_sample=False).tolist())
    assert 0
