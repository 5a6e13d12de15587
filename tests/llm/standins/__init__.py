"""Stand-ins for Ollama, Groq and Gemini; ../standin.py starts them."""
